//go:build tools

// Package tools pins the commands that `make node` builds.
package tools

import (
	_ "github.com/checkpoint-restore/checkpointctl"
)
