//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package randomaccess

import "os"

// lock does nothing: this system has no lock that Node programs would see.
func lock(*os.File) error { return nil }
