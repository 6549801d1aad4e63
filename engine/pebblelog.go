package engine

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// pebbleLogger passes what the database says to the store's logger.
type pebbleLogger struct{ s *Store }

// Infof implements pebble.Logger.
func (l pebbleLogger) Infof(format string, args ...any) {
	l.s.log.Debug("database", "message", fmt.Sprintf(format, args...))
}

// Errorf implements pebble.Logger.
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.s.log.Error("database", "message", fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger. It does not return: the database relies on it.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	message := strings.TrimSpace(fmt.Sprintf(format, args...))
	if l.s.commit != nil {
		_ = l.s.commit.fail(fmt.Errorf("database: %s", message))
	}
	l.s.opts.OnFatal(message)
	select {} // the promise of OnFatal: the database must not go on
}

// eventListener reports what an operator should know.
func (s *Store) eventListener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			s.log.Error("background work of the database failed", "err", err)
			select {
			case s.flushFailed <- err:
			default:
			}
		},
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			s.log.Error("damaged file", "path", i.Path, "details", i.Details)
		},
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) {
			s.log.Debug("writes wait for compaction", "reason", i.Reason)
		},
		WriteStallEnd: func() {
			s.log.Debug("writes go on")
		},
	}
}
