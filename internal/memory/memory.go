// Package memory gives memory back that a process at rest does not need. Small
// limits are what sidecars get, and most of the time they wait. Used by sync
// and cron.
package memory
