{{/* A pod's template of Ray: include "spanstream.rayPod" (dict "context" $ "encoder" .Subcharts.encoder "head" true) */}}
{{- define "spanstream.rayPod" -}}
{{- $values := .encoder.Values -}}
{{- $component := include "service.component" .encoder -}}
metadata:
  {{- $own := dict "checksum/config" (include "service.environment" .encoder | sha256sum) }}
  {{- if .head }}
  # Its end is the whole cluster's: nobody is to move it only to save a node.
  {{- $own = merge $own (dict "cluster-autoscaler.kubernetes.io/safe-to-evict" "false" "karpenter.sh/do-not-disrupt" "true") }}
  {{- end }}
  {{- include "service.podMetadata" (list .context $component $values $own) | nindent 2 }}
spec:
  {{- if and .head $values.ray.autoscaler }}
  # Of all pods this one alone has a token: Ray's autoscaler adds and removes workers through the API server.
  {{- include "service.podWithToken" .context | nindent 2 }}
  {{- else }}
  {{- include "service.podCommon" .context | nindent 2 }}
  {{- end }}
  {{- include "service.placement" (list .context $component (ternary $values.ray.head $values .head)) | nindent 2 }}
  terminationGracePeriodSeconds: {{ add $values.preStopSeconds $values.stopSeconds 5 }}
  containers:
    - name: {{ ternary "ray-head" "ray-worker" .head }}
      image: {{ include "service.image" (list .context "encoder") | quote }}
      imagePullPolicy: {{ .context.Values.global.image.pullPolicy }}
      envFrom:
        - configMapRef:
            name: {{ include "service.fullname" .encoder }}
      env:
        - {name: RAY_USAGE_STATS_ENABLED, value: "0"}
        - {name: RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH, value: spanstream.embedder.ingress.middlewares}
        {{- with include "service.secretEnvironment" .encoder }}
        {{- . | nindent 8 }}
        {{- end }}
      ports:
        - {name: serve, containerPort: {{ $values.ports.serve }}}
        - {name: agent, containerPort: 52365}
        - {name: metrics, containerPort: 8080}
        {{- if .head }}
        - {name: gcs-server, containerPort: 6379}
        - {name: dashboard, containerPort: 8265}
        - {name: client, containerPort: 10001}
        {{- end }}
      startupProbe:
        httpGet: {path: /api/healthz, port: agent}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: {{ div $values.startupSeconds 5 }}
      livenessProbe:
        httpGet: {path: /api/healthz, port: agent}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        {{- if .head }}
        httpGet: {path: /api/healthz, port: agent}
        {{- else }}
        # The proxy of this node, so that requests go where a replica is; the model's own health is Serve's to check.
        httpGet: {path: /-/healthz, port: serve}
        {{- end }}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: {{ ternary 2 1 .head }}
      {{- with $values.preStopSeconds }}
      lifecycle:
        preStop:
          sleep: {seconds: {{ . }}}
      {{- end }}
      resources:
        {{- toYaml (ternary $values.ray.head.resources $values.resources .head) | nindent 8 }}
      securityContext:
        {{- include "service.containerSecurity" .context | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: shm, mountPath: /dev/shm}
        {{- range $name, $volume := $values.volumes }}
        {{- if tpl $volume.claim $.encoder }}
        - {name: {{ $name | quote }}, mountPath: {{ $volume.mountPath | quote }}}
        {{- end }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: {{ $values.tmpSize }}}
    - name: shm
      emptyDir: {medium: Memory, sizeLimit: {{ $values.shmSize }}}
    {{- range $name, $volume := $values.volumes }}
    {{- with tpl $volume.claim $.encoder }}
    - name: {{ $name | quote }}
      persistentVolumeClaim: {claimName: {{ . | quote }}}
    {{- end }}
    {{- end }}
{{- end }}

{{/* Of an encoder: Ray's object store, in bytes: nine tenths of /dev/shm. By itself it takes 30 % of the memory, and where /dev/shm has less,
it is a file below /tmp, whose growth would have the pod evicted. */}}
{{- define "spanstream.objectStore" -}}
{{- $size := .Values.shmSize -}}
{{- $unit := index (dict "Mi" 1048576 "Gi" 1073741824) (substr (sub (len $size) 2 | int) (len $size) $size) -}}
{{ div (mul (trimSuffix "Mi" $size | trimSuffix "Gi" | int) $unit 9) 10 }}
{{- end }}
