//go:build tools

// Package tools pins the command-line clients that are built beside our own informer.
package tools

import _ "helm.sh/helm/v4/cmd/helm"
