//go:build tools

// Package tools pins the commands that a real node runs.
package tools

import _ "k8s.io/kubernetes/cmd/kube-proxy"
