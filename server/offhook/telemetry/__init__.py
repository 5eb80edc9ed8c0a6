"""How a running server is seen from outside: logs and metrics. What a call was like is on its timeline."""
