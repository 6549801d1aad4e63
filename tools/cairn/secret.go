package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cairn-feeds/cairn/tree"
)

// maxSecret bounds what is read as a secret, in bytes.
const maxSecret = 64 << 10

// secretArgument returns a secret that was given as it is, as @FILE, or as - for stdin.
func (a *app) secretArgument(arg string) ([]byte, error) {
	switch {
	case arg == "-":
		return readSecret(a.stdin)
	case strings.HasPrefix(arg, "@"):
		return readSecretFile(arg[1:])
	}
	return []byte(arg), nil
}

func readSecretFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := readSecret(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

func readSecret(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSecret+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSecret {
		return nil, fmt.Errorf("more than %d bytes: that is no secret", maxSecret)
	}
	return b, nil
}

// parseSeed decodes the seed of a key pair. The error never shows it.
func parseSeed(text []byte) (seed [32]byte, err error) {
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(b) != len(seed) {
		return seed, errors.New("a seed is 32 bytes in hex: 64 digits")
	}
	return [32]byte(b), nil
}

// parseSecretKey decodes a secret key: 64 bytes in hex or as they are in the file secret_key of hypercore 9, or the seed
// that it was made from. The error never shows it.
func parseSecretKey(text []byte) (tree.SecretKey, error) {
	if len(text) == len(tree.SecretKey{}) {
		if sk, err := tree.ParseSecretKey(text); err == nil {
			return sk, nil
		}
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	switch {
	case err == nil && len(b) == 32:
		return tree.KeyPairFromSeed([32]byte(b)).Secret, nil
	case err == nil && len(b) == len(tree.SecretKey{}):
		return tree.ParseSecretKey(b)
	}
	return tree.SecretKey{}, errors.New("a secret key is 64 bytes in hex, 128 digits, or its seed, 64 digits")
}
