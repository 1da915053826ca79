//go:build !linux

package mlflow

const haveQuickAck = false

func setQuickAck(uintptr) {}
