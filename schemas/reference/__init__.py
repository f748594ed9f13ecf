"""Documents made from the contract's code: references, JSON Schemas, the AsyncAPI document."""
