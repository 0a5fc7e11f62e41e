"""Alerts to Alertmanager: what is open is told every minute, what ended is told once more."""
