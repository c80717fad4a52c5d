"""A stand-in for the operator of Seldon Core v1.17.1, for tests. It is not the operator.

In: SeldonDeployments of a cluster. Out: the Deployments, Services and status that the operator was
measured to make of them, its bugs included. What is read here was written from those measurements
alone; what they do not tell, it does not do.

    python -m standins.seldon --kubeconfig FILE --prefix NAMESPACES-BEGIN-WITH [--webhook]

The rooms: `crd` (what the API server refuses), `rules` (what the webhook refuses), `environment`,
`ports`, `servers` and `pods` (a predictor's pods), `objects` (its Deployments and Services),
`status` (what it says of them), all pure; `api`, `loop` and `webhook` speak to a cluster.
"""
