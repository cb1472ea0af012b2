"""One workflow that has everything the language can say, as people write it."""

from __future__ import annotations

__all__ = ["EVERYTHING"]

EVERYTHING: str = """
name: everything
description: All that can be said.
labels: {team: a}
metadata: {owner: b}
input_schema: {type: object}
output_schema: {type: object}
timeout: 1h
retention: 30d
search_attributes: {customer: "${input.customer}"}
concurrency: {limit: 2, key: "${input.customer}", on_conflict: REJECT}
defaults:
  timeout: 10s
  heartbeat_timeout: 5s
  schedule_to_close_timeout: 10m
  retry: {max_attempts: 5}
steps:
  - id: pay
    description: Calls an action.
    service: cards
    service_version: ^1.4
    action: charge
    input: {amount: "${input.amount}"}
    output: {paid: "${output.amount}"}
    timeout: 30s
    heartbeat_timeout: 2s
    schedule_to_close_timeout: 5m
    retry:
      max_attempts: 4
      initial_backoff: 2s
      multiplier: 3
      max_backoff: 20s
      jitter: 0
      non_retryable_reasons: [CARD_STOLEN]
      on_exhausted: FAIL
    at_most_once: true
    cache: {ttl: 1h, key: "${input.customer}"}
    limit: {concurrency: 3, rate: 10, per: 1m, key: "${input.customer}"}
    on_error:
      - {reasons: [CARD_DECLINED], kind: BUSINESS, next: ask}
    compensate: {service: cards, action: refund, input: {amount: 1}, timeout: 20s, retry: {max_attempts: 9}}
    next: which
  - id: which
    switch:
      cases:
        - {when: input.amount > 100, next: ask}
      default: both
  - id: ask
    approval:
      title: Pay ${input.amount}?
      assignees: [boss]
      due: 2d
      outcomes: [yes, no]
      schema: {type: object}
    timeout: 7d
    next: both
  - id: both
    parallel:
      branches:
        - name: left
          steps: [{id: later, wait: {duration: 90s}}]
        - name: right
          steps: [{id: paid, signal: {name: paid, correlation: "${input.customer}", schema: {type: object}}}]
      join: 1
      collect_errors: true
    next: each
  - id: each
    map:
      items: {from: 0, to: 3}
      max_concurrency: 2
      tolerated_failures: 1
      discard_outputs: true
      steps:
        - id: again
          loop:
            while: iteration < 2
            max_iterations: 3
            steps: [{id: note, set: {n: "${iteration}"}}]
    next: orders
  - id: orders
    map: {items: "${input.orders}", workflow: {name: order, alias: stable}}
    next: one
  - id: one
    workflow: {name: order, version: 3, abandon: true}
    next: tell
  - id: tell
    emit: {type: order.done, data: {at: "${execution.id}"}}
    next: until
  - id: until
    loop:
      until: steps.day.until > ""
      steps: [{id: day, wait: {until: "2026-01-01T00:00:00Z"}}]
    next: good
  - id: good
    switch: {cases: [{when: input.good, next: end}], default: bad}
  - id: bad
    fail: {reason: NOT_GOOD, message: "${input.customer} is not"}
  - id: end
    succeed: {result: {ok: true}}
finally:
  - {id: close, service: cards, action: close}
"""
