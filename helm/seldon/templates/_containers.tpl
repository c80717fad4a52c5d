{{/* The three ports that the operator knows, all of them named, so that it counts none itself. */}}
{{- define "seldon.ports" -}}
ports:
  - name: metrics
    containerPort: 6000
    protocol: TCP
  - name: http
    containerPort: {{ . }}
    protocol: TCP
  - name: grpc
    containerPort: 9500
    protocol: TCP
{{- end }}

{{/*
Probes of our server, on a port of this name. There is no startup probe: the front answers on
liveness at once, whether or not the model is loaded yet. Until it is, an answer on readiness is held
for as long as the period, so that the kubelet hears of it at once. In: the dictionary {root, port}.
*/}}
{{- define "seldon.server-probes" -}}
{{- $probes := .root.Values.probes -}}
readinessProbe:
  httpGet:
    path: /v2/health/ready?wait=0.95
    port: {{ .port }}
  periodSeconds: {{ int64 $probes.periodSeconds }}
  timeoutSeconds: {{ int64 $probes.timeoutSeconds }}
  failureThreshold: {{ max 2 (ceil (divf 10 $probes.periodSeconds)) | int64 }}
livenessProbe:
  httpGet:
    path: /v2/health/live
    port: {{ .port }}
  periodSeconds: 20
  timeoutSeconds: 15
  failureThreshold: {{ max 2 (ceil (divf $probes.silentSeconds 20)) | int64 }}
{{- end }}

{{/*
An init container that fetches the model into a volume. In: {root, name, volume, mountPath}.
*/}}
{{- define "seldon.fetching" -}}
- name: {{ .name }}
  image: {{ .root.Values.artifact.image | default .root.Values.image | quote }}
  imagePullPolicy: {{ .root.Values.imagePullPolicy }}
  command: [/opt/schnitzel/bin/python, -m, serving.artifact, /etc/schnitzel/predictor.json]
  env:
    - name: HOME
      value: /tmp
    {{- if .root.Values.trustBundle }}
    - name: SSL_CERT_FILE
      value: /etc/schnitzel/ca/ca.crt
    {{- end }}
  {{- with .root.Values.artifact.secretName }}
  envFrom:
    - secretRef:
        name: {{ . | quote }}
  {{- end }}
  {{- with include "seldon.resources" (dict "resources" .root.Values.resources "gpu" false) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  securityContext:
    {{- include "seldon.container-security" .root | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    - name: configuration
      mountPath: /etc/schnitzel
      readOnly: true
    - name: {{ .volume }}
      mountPath: {{ .mountPath }}
    - name: tmp
      mountPath: /tmp
{{- end }}

{{/* Our server, as the container of the graph's name. */}}
{{- define "seldon.container-server" -}}
- name: model
  image: {{ .Values.image | quote }}
  imagePullPolicy: {{ .Values.imagePullPolicy }}
  command: [/opt/schnitzel/bin/python, -m, serving, /etc/schnitzel/predictor.json]
  env:
    {{- include "seldon.env" . | trim | nindent 4 }}
  {{- include "seldon.ports" 8080 | nindent 2 }}
  {{- include "seldon.server-probes" (dict "root" . "port" "http") | nindent 2 }}
  {{- /* It drains without a hook; one of its own keeps the operator's shell and its ten seconds out. */}}
  lifecycle:
    preStop:
      httpGet:
        path: /v2/health/live
        port: http
  {{- with include "seldon.resources" (dict "resources" .Values.resources "gpu" true) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  securityContext:
    {{- include "seldon.container-security" . | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    - name: configuration
      mountPath: /etc/schnitzel
      readOnly: true
    - name: model
      mountPath: /mnt/model
      readOnly: true
    - name: tmp
      mountPath: /tmp
{{- end }}

{{/* Our server under a name of the operator's config: only what such a container may say. */}}
{{- define "seldon.container-named" -}}
- name: model
  {{- with .Values.image }}
  image: {{ . | quote }}
  {{- end }}
  env:
    - name: SCHNITZEL_PREDICTOR
      value: {{ include "seldon.file" (dict "root" . "artifact" "/mnt/models") | fromJson | toJson | quote }}
    {{- include "seldon.env" . | trim | nindent 4 }}
  {{- include "seldon.ports" 9000 | nindent 2 }}
  {{- include "seldon.server-probes" (dict "root" . "port" "http") | nindent 2 }}
  {{- with include "seldon.resources" (dict "resources" .Values.resources "gpu" true) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}

{{/*
TensorFlow Serving, as the container of the graph's name. What it serves is mounted as the only
version of its folder. When the pod ends it waits until the server beside it has answered all.
*/}}
{{- define "seldon.container-tensorflow" -}}
- name: model
  {{- with .Values.tensorflow.image }}
  image: {{ . | quote }}
  imagePullPolicy: {{ $.Values.imagePullPolicy }}
  {{- end }}
  args:
    - --port=9500
    - --rest_api_port=9000
    - --model_name=model
    - --model_base_path=/models/model
    {{- /* What cannot be loaded ends it at once, and is seen: the kubelet is who tries again. */}}
    - --max_num_load_retries=0
    {{- range .Values.tensorflow.args }}
    - {{ . | quote }}
    {{- end }}
  env:
    {{- include "seldon.env" . | trim | nindent 4 }}
  {{- include "seldon.ports" 9000 | nindent 2 }}
  readinessProbe:
    httpGet:
      path: /v1/models/model
      port: http
    periodSeconds: {{ int64 .Values.probes.periodSeconds }}
    timeoutSeconds: {{ int64 .Values.probes.timeoutSeconds }}
    failureThreshold: {{ max 2 (ceil (divf 10 .Values.probes.periodSeconds)) | int64 }}
  livenessProbe:
    tcpSocket:
      port: http
    initialDelaySeconds: {{ int64 .Values.probes.startupSeconds }}
    periodSeconds: 20
    timeoutSeconds: 15
    failureThreshold: {{ max 2 (ceil (divf .Values.probes.silentSeconds 20)) | int64 }}
  lifecycle:
    preStop:
      exec:
        command: [/bin/sh, -c, {{ printf "/bin/sleep %s" (include "seldon.answering" .) | quote }}]
  {{- with include "seldon.resources" (dict "resources" .Values.resources "gpu" true) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  securityContext:
    {{- include "seldon.container-security" . | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    - name: model-provision-location
      mountPath: /models/model/{{ .Values.modelVersion }}
      subPath: model/{{ .Values.tensorflow.savedModel }}
      readOnly: true
    - name: tmp
      mountPath: /tmp
{{- end }}

{{/*
Seldon's microservice, as the container of the graph's name, in an environment of its own. It asks
the server beside it over a Unix socket. It stops taking requests at SIGTERM: so
it gets SIGTERM later.
*/}}
{{- define "seldon.container-microservice" -}}
- name: model
  image: {{ .Values.microservice.image | quote }}
  imagePullPolicy: {{ .Values.imagePullPolicy }}
  env:
    - name: HOME
      value: /tmp
    - name: SCHNITZEL_SOCKET
      value: /run/schnitzel/server.sock
    - name: GUNICORN_THREADS
      value: {{ int64 .Values.microservice.threads | quote }}
  {{- include "seldon.ports" 9000 | nindent 2 }}
  readinessProbe:
    httpGet:
      path: /health/status
      port: http
    periodSeconds: {{ int64 .Values.probes.periodSeconds }}
    timeoutSeconds: {{ int64 .Values.probes.timeoutSeconds }}
    failureThreshold: {{ max 2 (ceil (divf 10 .Values.probes.periodSeconds)) | int64 }}
  livenessProbe:
    tcpSocket:
      port: http
    initialDelaySeconds: 60
    periodSeconds: 20
    timeoutSeconds: 15
    failureThreshold: {{ max 2 (ceil (divf .Values.probes.silentSeconds 20)) | int64 }}
  lifecycle:
    preStop:
      exec:
        command: [/opt/seldon/bin/python, -c, {{ printf "import time; time.sleep(%v)" .Values.server.drainSeconds | quote }}]
  {{- with include "seldon.resources" (dict "resources" .Values.sidecar "gpu" false) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  securityContext:
    {{- include "seldon.container-security" . | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    - name: socket
      mountPath: /run/schnitzel
    - name: tmp-microservice
      mountPath: /tmp
{{- end }}

{{/* Our server beside another container; the operator gives it nothing. In: {root, volume, mountPath}. */}}
{{- define "seldon.container-oip" -}}
{{- $root := .root -}}
{{- $model := eq $root.Values.shape "microservice" -}}
- name: oip
  image: {{ ternary $root.Values.image ($root.Values.artifact.image | default $root.Values.image) $model | quote }}
  imagePullPolicy: {{ $root.Values.imagePullPolicy }}
  command: [/opt/schnitzel/bin/python, -m, serving, /etc/schnitzel/predictor.json]
  env:
    {{- if $model }}
    - name: SCHNITZEL_SOCKET
      value: /run/schnitzel/server.sock
    {{- include "seldon.env" $root | trim | nindent 4 }}
    {{- else }}
    - name: HOME
      value: /tmp
    {{- end }}
  ports:
    - name: oip
      containerPort: 8080
      protocol: TCP
  {{- include "seldon.server-probes" (dict "root" $root "port" "oip") | nindent 2 }}
  {{- with include "seldon.resources" (dict "resources" (ternary $root.Values.resources $root.Values.sidecar $model) "gpu" $model) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  securityContext:
    {{- include "seldon.container-security" $root | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    - name: configuration
      mountPath: /etc/schnitzel
      readOnly: true
    - name: {{ .volume }}
      mountPath: {{ .mountPath }}
      readOnly: true
    {{- if $model }}
    - name: socket
      mountPath: /run/schnitzel
    {{- end }}
    - name: {{ ternary "tmp" "tmp-oip" $model }}
      mountPath: /tmp
{{- end }}
