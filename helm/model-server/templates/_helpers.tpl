{{/* What this predictor is called. */}}
{{- define "model-server.predictor" -}}
{{ .Values.predictor | default .Release.Name }}
{{- end }}

{{/* What the Deployment and the Service know its pods by: never anything that can change. */}}
{{- define "model-server.selector" -}}
{{- with .Values.platform }}
schnitzel.dev/platform: {{ . | quote }}
{{- end }}
schnitzel.dev/predictor: {{ include "model-server.predictor" . | quote }}
{{- end }}

{{/* Labels of every object and every pod. */}}
{{- define "model-server.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ include "model-server.predictor" . | quote }}
app.kubernetes.io/version: {{ .Values.modelVersion | quote }}
app.kubernetes.io/component: predictor
app.kubernetes.io/part-of: {{ .Values.deployment | default .Release.Name | quote }}
{{- /* Without a platform it was installed by hand: no Deployer may take it for its own. */}}
app.kubernetes.io/managed-by: {{ ternary "schnitzel" .Release.Service (ne .Values.platform "") }}
schnitzel.dev/deployment: {{ .Values.deployment | default .Release.Name | quote }}
{{- include "model-server.selector" . }}
{{- end }}

{{/* The metadata of every object. */}}
{{- define "model-server.metadata" -}}
name: {{ include "model-server.predictor" . | quote }}
namespace: {{ .Release.Namespace | quote }}
labels:
  {{- include "model-server.labels" . | nindent 2 }}
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
{{- define "model-server.grace" -}}
{{- $needed := ceil (addf .Values.server.drainSeconds .Values.server.timeoutSeconds 10) -}}
{{ .Values.terminationGracePeriodSeconds | default $needed | int64 }}
{{- end }}

{{/*
Tolerations, as a YAML list: those that are given, and for so long a node that is lost, where they do
not say it themselves. The API server would add five minutes in the same way.
*/}}
{{- define "model-server.tolerations" -}}
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
{{- define "model-server.env" -}}
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
What one container is promised, and the most it may use. Memory and GPUs cannot be had back, so that
what is promised is also the most. In: the dictionary {resources, gpu (whether it gets them)}.
*/}}
{{- define "model-server.resources" -}}
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
{{- define "model-server.container-security" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end }}
