//go:build tools

// Package tools pins what `node hack/upstream.ts` builds: upstream's end-to-end suite and its runner.
package tools

import (
	_ "github.com/onsi/ginkgo/v2/ginkgo"
	_ "k8s.io/kubernetes/test/e2e"
)
