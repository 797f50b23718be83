//go:build !race

package httpctx_test

const raceDetector = false
