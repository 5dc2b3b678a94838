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
{{- include "service.resourceChecks" (list (printf "%s.resources" $name) .Values.resources) }}
{{- include "service.volumeChecks" . }}
{{- include "service.portCheck" (list (printf "%s.settings.TRACES_URL" $name) ((.Values.settings | default dict).TRACES_URL | default "")) }}
{{- end }}

{{/* An amount of Kubernetes as a number: 500m, 1.5Gi. */}}
{{- define "service.amount" -}}
{{- $text := include "service.scalar" . -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- $units := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{ mulf (trimSuffix $unit $text | float64) (index $units $unit) }}
{{- end }}

{{/* include "service.resourceChecks" (list "gateway.resources" .Values.resources): no more is requested than is allowed. */}}
{{- define "service.resourceChecks" -}}
{{- $path := index . 0 }}{{ $limits := (index . 1).limits -}}
{{- range $kind, $amount := (index . 1).requests }}
{{- $limit := index $limits $kind }}
{{- if regexMatch "/|^hugepages-" $kind }}
{{- if ne (include "service.scalar" $amount) (include "service.scalar" $limit) }}
{{- fail (printf "%s.requests.%s needs the same in %s.limits: Kubernetes shares none of them" $path $kind $path) }}
{{- end }}
{{- else if kindIs "invalid" $limit }}
{{- else if gt (include "service.amount" $amount | float64) (include "service.amount" $limit | float64) }}
{{- fail (printf "%s.requests.%s (%s) must not exceed %s.limits.%s (%s)" $path $kind (include "service.scalar" $amount) $path $kind (include "service.scalar" $limit)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Names and folders that the chart has itself, in a service's pod or in that of the job which has its volumes too. */}}
{{- define "service.volumeChecks" -}}
{{- $path := printf "%s.volumes" .Chart.Name -}}
{{- $folders := dict -}}
{{- range $folder := list "/" "/tmp" "/dev/shm" "/etc/spanstream/keys" "/etc/spanstream/jwks" "/etc/spanstream/kafka" "/etc/spanstream/store" }}{{ $_ := set $folders $folder "the chart" }}{{ end -}}
{{- range $name, $volume := .Values.volumes }}
{{- if has $name (list "tmp" "shm" "keys" "jwks" "kafka" "store") }}
{{- fail (printf "%s.%s must have another name: the chart has a volume %s itself" $path $name $name) }}
{{- end }}
{{- $folder := clean $volume.mountPath }}
{{- with index $folders $folder }}
{{- fail (printf "%s.%s.mountPath (%s) must be another folder: it is %s's" $path $name $volume.mountPath .) }}
{{- end }}
{{- $_ := set $folders $folder (printf "%s.%s" $path $name) }}
{{- end }}
{{- end }}

{{/* include "service.portCheck" (list "global.store.url" "http://qdrant:6333") */}}
{{- define "service.portCheck" -}}
{{- range $port := regexFindAll ":[0-9]+" (index . 1) -1 }}
{{- $number := trimPrefix ":" $port }}
{{- if or (gt (len $number) 5) (gt (int $number) 65535) (lt (int $number) 1) }}
{{- fail (printf "%s (%s) has the port %s: ports are 1 to 65535" (index $ 0) (index $ 1) $number) }}
{{- end }}
{{- end }}
{{- end }}
