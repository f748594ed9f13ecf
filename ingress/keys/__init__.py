"""One upstream call for repeats of one request, whichever replica they come to.

How it works. `desk.KeyDesk` says of each request with an `Idempotency-Key` whether it is the first (it
goes on under the id of its claim) or a repeat (it attaches); the log `claims` decides, not the desk.
`decide` is that table. Repeats of the official clients carry no key: `orphans` (who may be taken up, by
the log) and `shelter` (where answers wait meanwhile) hand them the call that their broken connection
left running.
"""
