//go:build !linux

package randomaccess

import "os"

// syncData makes the bytes and the size of a file durable.
func syncData(f *os.File) error { return f.Sync() }
