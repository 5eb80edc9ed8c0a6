"""A plan's steps as a graph: what follows what, where calls can come, and what is certain once they are there.

Nodes are steps by flow and position; past a flow's last step the call ends. Pure functions over a `Plan`, for `lint`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from offhook.dialplan.plan import Agent, Dial, Disclose, Go, HangUp, Plan, Step

CERTAIN = ("ai", "recording", "agent", "dial")
"""What can be certain at a step: the caller was told of an AI, of a recording; an agent, a dial has been."""


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """The `index`-th step of a flow."""

    flow: str
    index: int


@dataclass(frozen=True, slots=True)
class Edge:
    """From a step by one of its exits to another, or to the end of the call (None)."""

    exit: str
    to: Node | None


def step_at(plan: Plan, node: Node) -> Step:
    return plan.flows[node.flow].steps[node.index]


def nodes(plan: Plan) -> Iterator[Node]:
    """All steps, in the order of the file."""
    return (Node(flow.name, index) for flow in plan.flows.values() for index in range(len(flow.steps)))


def edges(plan: Plan, node: Node) -> list[Edge]:
    """Where each exit of the step leads."""
    step = step_at(plan, node)
    following = Node(node.flow, node.index + 1)
    after = following if following.index < len(plan.flows[node.flow].steps) else None
    found = []
    for name in step.EXITS:
        handled = step.handled.get(name)
        found.append(Edge(name, _start(plan, handled.go) if handled is not None and handled.go else after))
    return found


def entries(plan: Plan) -> list[Node]:
    """The steps with which a call can begin: those of the numbers' flows and of the flows that guards go to."""
    flows = [number.flow for number in plan.numbers.values()] + [guard.go for guard in plan.guards if guard.go]
    return [node for flow in dict.fromkeys(flows) if (node := _start(plan, flow)) is not None]


def reach(plan: Plan, starts: Iterable[Node]) -> set[Node]:
    """All steps that can be come to from `starts`, themselves included."""
    reached: set[Node] = set()
    waiting = list(starts)
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting += [edge.to for edge in edges(plan, node) if edge.to is not None]
    return reached


def leading_to(plan: Plan, targets: Iterable[Node]) -> set[Node]:
    """All steps from which one of `targets` can be come to, themselves included."""
    before: dict[Node, list[Node]] = {}
    for node in nodes(plan):
        for edge in edges(plan, node):
            if edge.to is not None:
                before.setdefault(edge.to, []).append(node)
    found: set[Node] = set()
    waiting = list(targets)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += before.get(node, [])
    return found


def certain(plan: Plan) -> Mapping[Node, frozenset[str]]:
    """For each step that can be reached, which of `CERTAIN` hold on every way to it."""
    held: dict[Node, frozenset[str]] = dict.fromkeys(entries(plan), frozenset())
    waiting = list(held)
    while waiting:
        node = waiting.pop()
        after = held[node] | _made_certain(step_at(plan, node))
        for edge in edges(plan, node):
            if edge.to is None:
                continue
            known = held.get(edge.to)
            together = after if known is None else known & after
            if together != known:
                held[edge.to] = together
                waiting.append(edge.to)
    return held


def silent_circles(plan: Plan, reached: set[Node]) -> list[Node]:
    """For each circle a call could go round without hearing anything, its first step in the order of the file."""
    quiet = {
        node: [
            edge.to for edge in edges(plan, node) if edge.to is not None and edge.exit in step_at(plan, node).INSTANT
        ]
        for node in reached
    }
    circles = [group for group in _strong_components(quiet) if len(group) > 1 or group[0] in quiet[group[0]]]
    position = {node: order for order, node in enumerate(nodes(plan))}
    return sorted((min(group, key=position.__getitem__) for group in circles), key=position.__getitem__)


def always_leaves(step: Step) -> bool:
    """Whether no exit of the step leads on to the next one."""
    if isinstance(step, HangUp | Go):
        return True
    return all((handled := step.handled.get(name)) is not None and handled.go for name in step.EXITS)


def _start(plan: Plan, flow: str) -> Node | None:
    return Node(flow, 0) if plan.flows[flow].steps else None


def _made_certain(step: Step) -> frozenset[str]:
    if isinstance(step, Disclose):
        return frozenset(step.what)
    return frozenset([step.kind]) if isinstance(step, Agent | Dial) else frozenset()


def _strong_components(graph: Mapping[Node, list[Node]]) -> list[list[Node]]:
    """Tarjan's strongly connected components (SIAM J. Comput. 1972), with a stack of its own instead of recursion."""
    order: dict[Node, int] = {}
    low: dict[Node, int] = {}
    stack: list[Node] = []
    on_stack: set[Node] = set()
    found: list[list[Node]] = []
    for root in graph:
        if root in order:
            continue
        work: list[tuple[Node, Iterator[Node]]] = [(root, iter(graph[root]))]
        order[root] = low[root] = len(order)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, targets = work[-1]
            target = next(targets, None)
            if target is not None:
                if target not in order:
                    order[target] = low[target] = len(order)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(graph[target])))
                elif target in on_stack:
                    low[node] = min(low[node], order[target])
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[node])
            if low[node] == order[node]:
                group = []
                while True:
                    member = stack.pop()
                    on_stack.discard(member)
                    group.append(member)
                    if member == node:
                        break
                found.append(group)
    return found
