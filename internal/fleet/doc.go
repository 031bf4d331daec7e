// Package fleet holds tests of several lbs that serve one address together: hosts are network
// namespaces on a bridge, and what is before lb is what operators use, keepalived for a pair
// and equal-cost routes for more. Configuration and backends come from etcd. It needs root,
// ip (iproute2), keepalived and etcd, and knows nothing of lb's packages.
package fleet
