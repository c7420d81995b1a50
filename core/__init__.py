"""The product without its edges: rules, contracts, use cases, wire forms and the store."""
