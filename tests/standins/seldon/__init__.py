"""A stand-in for the operator of Seldon Core v1.17.1, for tests. It is not the operator.

In: SeldonDeployments of a cluster. Out: the Deployments, Services and status that the operator was
measured to make of them, its bugs included, and its validating webhook. FIDELITY.md says of each
part whether it was measured, read in the operator's sources, or is only believed.

    python -m standins.seldon --kubeconfig FILE --prefix NAMESPACES-BEGIN-WITH [--no-webhook]

The rooms: `crd` (what the API server refuses), `rules` (what the webhook refuses), `environment`,
`ports`, `servers` and `pods` (a predictor's pods), `objects` (its Deployments and Services),
`status` (what it says of them), all pure; `api`, `loop` and `webhook` speak to a cluster.
"""
