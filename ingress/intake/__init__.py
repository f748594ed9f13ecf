"""The intake: reads `inbox.<tenant>`, checks what tenants wrote there, and writes it on to the lanes.

How it works. A tenant that is not trusted with the lanes may write to its own inbox only, so the topic
says who it is, whatever a header claims. All ingress processes share the inboxes as one consumer group.
`check` judges a record by the same rules as HTTP (`admission.admit`); a good one goes to its lane with
`acks=all`, a bad one to the dead letters and, where it has an address of its tenant, is answered; only
then is its offset committed. A crash repeats what was not committed under the same ids, and
dispatchers drop ids that they have seen.
"""
