{{/* What this predictor is called. */}}
{{- define "tfserving.predictor" -}}
{{ .Values.predictor | default .Release.Name }}
{{- end }}

{{/* What the Deployment and the Service know its pods by: never anything that can change. */}}
{{- define "tfserving.selector" -}}
{{- with .Values.platform }}
schnitzel.dev/platform: {{ . | quote }}
{{- end }}
schnitzel.dev/predictor: {{ include "tfserving.predictor" . | quote }}
{{- end }}

{{/* Labels of every object and every pod. */}}
{{- define "tfserving.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ include "tfserving.predictor" . | quote }}
app.kubernetes.io/version: {{ .Values.modelVersion | quote }}
app.kubernetes.io/component: predictor
app.kubernetes.io/part-of: {{ .Values.deployment | default .Release.Name | quote }}
{{- /* Without a platform it was installed by hand: no Deployer may take it for its own. */}}
app.kubernetes.io/managed-by: {{ ternary "schnitzel" .Release.Service (ne .Values.platform "") }}
schnitzel.dev/deployment: {{ .Values.deployment | default .Release.Name | quote }}
{{- include "tfserving.selector" . }}
{{- end }}

{{/* The metadata of every object. */}}
{{- define "tfserving.metadata" -}}
name: {{ include "tfserving.predictor" . | quote }}
namespace: {{ .Release.Namespace | quote }}
labels:
  {{- include "tfserving.labels" . | nindent 2 }}
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

{{/* How long a pod may take to end, in seconds: as asked, or draining, the longest request, ten. */}}
{{- define "tfserving.grace" -}}
{{- $needed := ceil (addf .Values.server.drainSeconds .Values.server.timeoutSeconds 10) -}}
{{ .Values.terminationGracePeriodSeconds | default $needed | int64 }}
{{- end }}

{{/*
Tolerations, as a YAML list: those that are given, and for so long a node that is lost, where they do
not say it themselves. The API server would add five minutes in the same way.
*/}}
{{- define "tfserving.tolerations" -}}
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
{{- define "tfserving.env" -}}
{{- $given := dict -}}
{{- range .Values.env }}{{ $_ := set $given .name true }}{{ end -}}
{{- if not (hasKey $given "HOME") }}
- name: HOME
  value: /tmp
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
What one container is promised, and the most it may use. Memory and GPUs cannot be had back, so that
what is promised is also the most. In: the dictionary {resources, gpu (whether it gets them)}.
*/}}
{{- define "tfserving.resources" -}}
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
{{- define "tfserving.container-security" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end }}

{{/* What TensorFlow Serving reads: protobuf as text. Quoted texts are the same there and in Go. */}}
{{- define "tfserving.models" -}}
model_config_list {
  config {
    name: {{ .Values.model | quote }}
    base_path: "/models/model"
    model_platform: "tensorflow"
    model_version_policy { specific { versions: {{ .Values.modelVersion }} } }
    {{- range .Values.tfserving.labels | default (list (.Values.environment | default .Release.Namespace)) }}
    version_labels { key: {{ . | quote }} value: {{ $.Values.modelVersion }} }
    {{- end }}
  }
}
{{- end }}

{{/*
Requests are put together up to max_execution_batch_size rows; max_batch_size is then the most rows
of one request, which is computed in pieces.
*/}}
{{- define "tfserving.batching" -}}
{{- $its := .Values.tfserving.batching -}}
max_batch_size { value: {{ max (int64 $its.maxRequestRows) (int64 .Values.server.batching.maxRows) }} }
enable_large_batch_splitting { value: true }
max_execution_batch_size { value: {{ int64 .Values.server.batching.maxRows }} }
batch_timeout_micros { value: {{ int64 $its.timeoutMicros }} }
max_enqueued_batches { value: {{ int64 $its.maxEnqueuedBatches }} }
{{- with $its.threads }}
num_batch_threads { value: {{ int64 . }} }
{{- end }}
{{- range $its.allowedBatchSizes }}
allowed_batch_sizes: {{ int64 . }}
{{- end }}
{{- end }}
