"""`headrace jobs`: look at jobs, cancel and follow them, over HTTP as any client would."""
