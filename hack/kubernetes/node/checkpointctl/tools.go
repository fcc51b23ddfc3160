//go:build tools

// Package tools pins the commands that a real node runs.
package tools

import (
	_ "github.com/checkpoint-restore/checkpointctl"
)
