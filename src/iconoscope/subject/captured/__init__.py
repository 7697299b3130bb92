"""A network as a graph of steps: captured from its module, put together where operations can be, and run step by step.

In the order of reading: `tracing` notes what a module does, `capture` makes of it a `graph` of steps, with one function of
`translation` for each operation, whose `operators` compute; `receptive_field` knows the rows and columns that a change of a
step's inputs reaches. Private parts of torch lie in `aten` and `onednn`.
"""
