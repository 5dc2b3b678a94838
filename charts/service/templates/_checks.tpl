{{/* What no schema can say: values that contradict one another end the render with a line that names them. */}}
{{- define "service.checks" -}}
{{- $name := .Chart.Name -}}
{{- $scaling := .Values.autoscaling -}}
{{- if and (ne $scaling.kind "none") (gt (int $scaling.minReplicas) (int $scaling.maxReplicas)) }}
{{- fail (printf "%s.autoscaling.minReplicas (%d) must not exceed %s.autoscaling.maxReplicas (%d)" $name (int $scaling.minReplicas) $name (int $scaling.maxReplicas)) }}
{{- end }}
{{- if and (eq $scaling.kind "cpu") (eq (int $scaling.minReplicas) 0) }}
{{- fail (printf "%s.autoscaling.minReplicas must be 1 or more with kind cpu: no load is measured where nothing runs" $name) }}
{{- end }}
{{- if .Values.consumer.group }}
{{- $partitions := int .Values.global.kafka.partitions -}}
{{- $most := ternary (int .Values.replicas) (int $scaling.maxReplicas) (eq $scaling.kind "none") -}}
{{- $members := mul $most (int (default 1 .Values.consumer.membersPerPod)) -}}
{{- if gt $members $partitions }}
{{- fail (printf "%s: %d replicas with %d consumers each exceed global.kafka.partitions (%d): some would have nothing to read and never be ready" $name $most (int (default 1 .Values.consumer.membersPerPod)) $partitions) }}
{{- end }}
{{- else if eq $scaling.kind "lag" }}
{{- fail (printf "%s.autoscaling.kind must be none or cpu: it reads no topic whose lag could be measured" $name) }}
{{- end }}
{{- range $port, $number := .Values.ports }}
{{- if eq (int $number) (int $.Values.adminPort) }}
{{- fail (printf "%s.adminPort (%d) is the port %s already" $name (int $number) $port) }}
{{- end }}
{{- end }}
{{- if and (eq $scaling.kind "lag") (not .Values.global.prometheus.url) }}
{{- fail (printf "%s.autoscaling.kind lag needs global.prometheus.url, where the lag in seconds is asked for" $name) }}
{{- end }}
{{- end }}
