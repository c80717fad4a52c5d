{{/* The pod's spec of a component, by shape. */}}
{{- define "seldon.pod" -}}
{{- $shape := .Values.shape -}}
{{- $initializer := eq $shape "tensorflow" -}}
{{- $volume := ternary "model-provision-location" "model" $initializer -}}
{{- $mountPath := ternary "/mnt/models" "/mnt/model" $initializer -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.serviceAccountName }}
serviceAccountName: {{ . | quote }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
terminationGracePeriodSeconds: {{ include "seldon.grace" . }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- if ne $shape "named" }}
initContainers:
  {{- /* Of this name, and with a volume of that one, the operator takes it in place of its own. */}}
  {{- $name := ternary "model-model-initializer" "artifact" $initializer }}
  {{- include "seldon.fetching" (dict "root" . "name" $name "volume" $volume "mountPath" $mountPath) | nindent 2 }}
{{- end }}
containers:
  {{- include (print "seldon.container-" $shape) . | nindent 2 }}
  {{- if has $shape (list "tensorflow" "microservice") }}
  {{- include "seldon.container-oip" (dict "root" . "volume" $volume "mountPath" $mountPath) | nindent 2 }}
  {{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "seldon.tolerations" . | fromYamlArray }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.spread }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: {{ ternary "kubernetes.io/hostname" "topology.kubernetes.io/zone" (eq . "hostname") }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "seldon.selector" $ | nindent 8 }}
{{- end }}
{{- if ne $shape "named" }}
volumes:
  - name: configuration
    projected:
      sources:
        - configMap:
            name: {{ include "seldon.predictor" . | quote }}
            items:
              - key: predictor.json
                path: predictor.json
        {{- with .Values.trustBundle }}
        - configMap:
            name: {{ .configMap | quote }}
            items:
              - key: {{ .key | quote }}
                path: ca/ca.crt
        {{- end }}
  - name: {{ $volume }}
    emptyDir:
      sizeLimit: {{ .Values.volumes.model | quote }}
  - name: tmp
    emptyDir:
      sizeLimit: {{ .Values.volumes.tmp | quote }}
  {{- if eq $shape "microservice" }}
  - name: socket
    emptyDir:
      sizeLimit: 1Mi
  - name: tmp-microservice
    emptyDir:
      sizeLimit: {{ .Values.volumes.tmp | quote }}
  {{- else if eq $shape "tensorflow" }}
  - name: tmp-oip
    emptyDir:
      sizeLimit: {{ .Values.volumes.tmp | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The graph: what serves, by shape. */}}
{{- define "seldon.graph" -}}
name: model
{{- if has .Values.shape (list "server" "microservice") }}
type: MODEL
{{- else }}
implementation: {{ ternary "TENSORFLOW_SERVER" .Values.named.server (eq .Values.shape "tensorflow") | quote }}
modelUri: {{ include "seldon.model-uri" . | quote }}
{{- end }}
{{- if eq .Values.shape "named" }}
storageInitializerImage: {{ .Values.artifact.image | default .Values.image | quote }}
{{- with .Values.artifact.secretName }}
envSecretRefName: {{ . | quote }}
{{- end }}
{{- end }}
{{- with .Values.parameters }}
parameters:
  {{- range . }}
  - name: {{ .name | quote }}
    value: {{ .value | quote }}
    type: {{ .type }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Where the operator's initializer fetches the model: ours gets MLflow's address with it. */}}
{{- define "seldon.model-uri" -}}
{{- if hasPrefix "mlflow-artifacts:" .Values.artifact.uri -}}
{{ .Values.artifact.uri }}?tracking_uri={{ .Values.artifact.trackingUri | urlquery }}
{{- else -}}
{{ .Values.artifact.uri }}
{{- end -}}
{{- end }}
