"""The admins' language: who is called, when, and what happens to the call.

A plan is a YAML file of numbers, guards and flows. `load_plan` gives it checked and frozen, or raises with everything
that is wrong with it; `run` leads a call through it. What a call can do is the business of `offhook.calls.verbs`.
"""

from offhook.dialplan.interpreter import run
from offhook.dialplan.lint import Report, check, load_plan
from offhook.dialplan.numbers import normal_number
from offhook.dialplan.plan import Plan

__all__ = ["Plan", "Report", "check", "load_plan", "normal_number", "run"]
