"""Offhook: a voice-agent server for call centres."""
