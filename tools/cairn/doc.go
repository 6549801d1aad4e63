// Command cairn is the one command line of Cairn: signed append-only feeds in one embedded store.
//
//	cairn feed new NAME            make a feed
//	cairn feed append NAME FILE    add blocks
//	cairn feed cat NAME            read them back
//	cairn feed audit NAME          compare every block with its hash
//	cairn inspect                  what the store holds
//	cairn check                    whether it is sound
//
// "cairn help" lists all commands, "cairn help feed append" explains one of them.
//
// # What scripts can rely on
//
// Results go to stdout and everything else to stderr. With --json a command that answers prints one object, and one that
// streams prints an object per line, each as soon as it holds. The exit status is 0 only on success; it is 1 for wrong
// usage and for failures, and "cairn check" ends with 3 when it has repaired something and with 4 when something is damaged.
//
// The store is the directory that --store or CAIRN_STORE names, ./cairn-store otherwise. FEED is a name, a public key in
// hex or z-base32, or the beginning of one that fits no other feed of the store. Ranges are half-open. What is secret can be
// given as @FILE, or as - for stdin, so that it does not show in the list of processes.
//
// # How it is built
//
// A command is a file: its flags, the call of package engine that it is about, and the answer, a type that encodes itself
// as JSON and writes itself as text. Whatever several commands share has a file of its own: opening stores (store.go),
// passphrases and secrets (passphrase.go, secret.go), answers (answer.go), advice on errors (explain.go).
package main
