"""The HTTP server of `pawprint serve`, and its page.

`running` listens until it is stopped; `app` has the routes, and serves `page/`. `uploads` reads
what a request holds, within `limits`; `answers` asks the network of `model` about it. `middleware`
and `connections` are around all of it.
"""
