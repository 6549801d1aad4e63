//go:build !race

package secretstream_test

const raceDetector = false
