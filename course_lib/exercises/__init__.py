"""Exercises that answer back: `check`, `hint`, `solution` and `progress`.

One module a lesson (`ex00_start_here`, …) defines `q1`, `q2`, … and `progress`. The engine behind
them is `problem`; every sentence that a learner reads is in `messages/en.toml` and `ko.toml`.
"""
