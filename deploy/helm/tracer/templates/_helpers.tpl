{{/* Name of everything: the release's, with the chart's if it does not have it already. */}}
{{- define "tracer.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What does not change with the version. */}}
{{- define "tracer.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tracer.labels" -}}
{{ include "tracer.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "tracer.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "tracer.fullname" .) -}}
{{- end -}}

{{/* The daemon's configuration: what gates need is switched on with them. */}}
{{- define "tracer.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $kubernetes := get $config "kubernetes" | default dict -}}
{{- if .Values.argo.enabled -}}{{- $_ := set $kubernetes "argo_rollouts" true -}}{{- end -}}
{{- if .Values.flagger.enabled -}}{{- $_ := set $kubernetes "flagger_canaries" true -}}{{- end -}}
{{- $_ := set $config "kubernetes" $kubernetes -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Whether the cluster knows the field `appArmorProfile`. */}}
{{- define "tracer.appArmorField" -}}
{{- $version := .Values.kubeVersion | default .Capabilities.KubeVersion.Version -}}
{{- if semverCompare ">=1.30-0" $version -}}true{{- end -}}
{{- end -}}
