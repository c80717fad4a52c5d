{{/* What this predictor is called: its SeldonDeployment, its Service and its ConfigMap. */}}
{{- define "seldon.predictor" -}}
{{ .Values.predictor | default .Release.Name }}
{{- end }}

{{/*
The only predictor inside the SeldonDeployment. The operator calls its Services PREDICTOR-main and
PREDICTOR-main-model, and its Deployment PREDICTOR-main-0-model, or seldon-MD5 where that is longer
than 63 characters: 50 for the predictor's name just fit, less with a second container.
*/}}
{{- define "seldon.inner" -}}main{{- end }}

{{/* What never changes of who it is; on every object and every pod. */}}
{{- define "seldon.identity" -}}
{{- with .Values.platform }}
schnitzel.dev/platform: {{ . | quote }}
{{- end }}
schnitzel.dev/predictor: {{ include "seldon.predictor" . | quote }}
{{- end }}

{{/* The label that the operator gives to all pods of the predictor. */}}
{{- define "seldon.selector" -}}
seldon-app: {{ printf "%s-%s" (include "seldon.predictor" .) (include "seldon.inner" .) | quote }}
{{- end }}

{{/* Labels of every pod, too: all but managed-by, which there is the operator's own. */}}
{{- define "seldon.pod-labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ include "seldon.predictor" . | quote }}
app.kubernetes.io/version: {{ .Values.modelVersion | quote }}
app.kubernetes.io/component: predictor
app.kubernetes.io/part-of: {{ .Values.deployment | default .Release.Name | quote }}
schnitzel.dev/deployment: {{ .Values.deployment | default .Release.Name | quote }}
{{- include "seldon.identity" . }}
{{- end }}

{{/* The metadata of every object. */}}
{{- define "seldon.metadata" -}}
name: {{ include "seldon.predictor" . | quote }}
namespace: {{ .Release.Namespace | quote }}
labels:
  {{- include "seldon.pod-labels" . | nindent 2 }}
  {{- /* Without a platform it was installed by hand: no Deployer may take it for its own. */}}
  app.kubernetes.io/managed-by: {{ ternary "schnitzel" .Release.Service (ne .Values.platform "") }}
  {{- with .Values.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  schnitzel.dev/model: {{ .Values.model | quote }}
  schnitzel.dev/environment: {{ .Values.environment | default .Release.Namespace | quote }}
  schnitzel.dev/digest: {{ .Values.digest | quote }}
  schnitzel.dev/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
  {{- with .Values.annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* How long the server, and what has its model, answer before anything ends, in seconds. */}}
{{- define "seldon.answering" -}}
{{ ceil (addf .Values.server.drainSeconds .Values.server.timeoutSeconds) | int64 }}
{{- end }}

{{/*
How long the server keeps answering after SIGTERM. Behind Seldon's microservice, which takes new
requests for `drainSeconds`, it goes on for five more: for those that are on their way.
*/}}
{{- define "seldon.drain" -}}
{{ ternary (addf .Values.server.drainSeconds 5) .Values.server.drainSeconds (eq .Values.shape "microservice") }}
{{- end }}

{{/* How long a pod may take to end: as asked, or what its hooks, draining and a request take. */}}
{{- define "seldon.grace" -}}
{{- $more := dict "server" 10 "named" 20 "tensorflow" 15 "microservice" 15 -}}
{{- $needed := add (include "seldon.answering" . | int64) (index $more .Values.shape) -}}
{{ .Values.terminationGracePeriodSeconds | default $needed | int64 }}
{{- end }}

{{/* Tolerations, as a YAML list: those that are given, and for so long a node that is lost. */}}
{{- define "seldon.tolerations" -}}
{{- $found := .Values.tolerations -}}
{{- if not (kindIs "invalid" .Values.nodeLostSeconds) -}}
{{- range $key := list "node.kubernetes.io/not-ready" "node.kubernetes.io/unreachable" -}}
{{- $said := false -}}
{{- range $.Values.tolerations -}}
{{- $said = or $said (and (has .key (list nil "" $key)) (has .effect (list nil "" "NoExecute"))) -}}
{{- end -}}
{{- if not $said -}}
{{- $found = append $found (dict
  "key" $key "operator" "Exists" "effect" "NoExecute" "tolerationSeconds" (int64 $.Values.nodeLostSeconds)
) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toYaml $found }}
{{- end }}

{{/* Environment variables as a pod lists them; ours come first, and give way to one of the same name. */}}
{{- define "seldon.env" -}}
{{- $given := dict -}}
{{- range .Values.env }}{{ $_ := set $given .name true }}{{ end -}}
{{- if not (hasKey $given "HOME") }}
- name: HOME
  value: /tmp
{{- end }}
{{- if .Values.trustBundle }}
- name: SSL_CERT_FILE
  value: /etc/schnitzel/ca/ca.crt
{{- end }}
{{- range .Values.env }}
- name: {{ .name | quote }}
  {{- if .secret }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret | quote }}
      key: {{ .key | quote }}
  {{- else }}
  value: {{ .value | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/*
What one container is promised, and the most it may use. In: the dictionary {resources, gpu (whether
it gets them)}.
*/}}
{{- define "seldon.resources" -}}
{{- $requests := dict -}}
{{- $limits := dict -}}
{{- $gpu := .gpu -}}
{{- with .resources -}}
{{- if .cpu -}}
{{- $_ := set $requests "cpu" .cpu -}}
{{- if .limitCpu }}{{ $_ := set $limits "cpu" .cpu }}{{ end -}}
{{- end -}}
{{- if .memory -}}
{{- $_ := set $requests "memory" .memory -}}
{{- $_ := set $limits "memory" .memory -}}
{{- end -}}
{{- if and .gpu $gpu -}}
{{- $_ := set $requests .gpuResource (.gpu | int64 | toString) -}}
{{- $_ := set $limits .gpuResource (.gpu | int64 | toString) -}}
{{- end -}}
{{- end -}}
{{- if $requests }}
resources:
  requests:
    {{- toYaml $requests | nindent 4 }}
  {{- with $limits }}
  limits:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The Pod Security Standard `restricted`, and a root file system that nobody can write. */}}
{{- define "seldon.container-security" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end }}

{{/*
The server's settings, as JSON. In: the dictionary {root, artifact (folder)}. What it tells about
itself, on 8081, is in no list of ports: the operator counts those, and no gateway shall lead there.
*/}}
{{- define "seldon.file" -}}
{{- $values := .root.Values -}}
{{- $file := dict
  "predictor" (include "seldon.predictor" .root)
  "model" $values.model
  "model_version" $values.modelVersion
  "environment" ($values.environment | default .root.Release.Namespace)
  "artifact" .artifact
  "artifact_uri" $values.artifact.uri
  "artifact_digest" $values.artifact.digest
  "tracking_uri" $values.artifact.trackingUri
  "python" $values.server.python
  "host" "0.0.0.0"
  "port" 8080
  "admin_port" 8081
  "state_file" "/tmp/state.json"
  "termination_file" "/dev/termination-log"
  "max_body_bytes" (int64 $values.server.maxBodyBytes)
  "timeout_seconds" $values.server.timeoutSeconds
  "drain_seconds" (include "seldon.drain" .root | float64)
  "drain_whole" true
  "batching" (dict
    "enabled" $values.server.batching.enabled
    "max_rows" (int64 $values.server.batching.maxRows)
  )
-}}
{{- with $values.env -}}
{{- $names := list -}}
{{- range . }}{{ $names = append $names .name }}{{ end -}}
{{- $_ := set $file "env" $names -}}
{{- end -}}
{{- if ne $values.server.input "strict" -}}
{{- $_ := set $file "input" $values.server.input -}}
{{- end -}}
{{- if eq $values.shape "tensorflow" -}}
{{- $_ := set $file "backend" (dict
  "kind" "tfserving"
  "url" "http://127.0.0.1:9000"
  "model" "model"
  "saved_model" $values.tensorflow.savedModel
) -}}
{{- $_ := unset $file "python" -}}
{{- end -}}
{{ toPrettyJson $file }}
{{- end }}
