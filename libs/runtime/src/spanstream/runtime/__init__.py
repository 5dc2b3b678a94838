"""What every service runs on: settings, life cycle, HTTP, metrics, logs, tracing."""
