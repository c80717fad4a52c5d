"""Cache our objects of a cluster, by watches."""
