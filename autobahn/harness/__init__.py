"""The conformance harness: everything behind `autobahn/run`.

Each module knows one thing. `cases`: ids, costs, batches. `verdict`: what must come out. `children`: processes.
`ports`: where they listen. `tools`: the two test tools; `install`: their installation. `subject`: the server or the
client under test. `work`: the queue of batches. `progress` and `report`: what a person sees. `options` and `main` tie
them together. Only the standard library is used.
"""
