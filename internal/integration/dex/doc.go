// Package dex verifies what a real Dex issues, which its tests start and ask for
// tokens as clients do. There is nothing to import.
package dex
