package commentator

import (
	"errors"
	"fmt"
	"time"
)

// Error is a failure with a code for machines and a sentence for people. The code
// becomes error.type on spans and jobs.error_type in the database.
type Error struct {
	Code    string        // lower snake case: "http_404", "private_address", "timeout"
	Message string        // what was wrong, where, and what to do
	Final   bool          // a repetition cannot help
	Later   bool          // whoever was asked wants to be asked later, which is no failure
	After   time.Duration // how much later; 0: he did not say
	Err     error         // the cause, may be nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return fmt.Sprintf("%s: %v", e.Message, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// ErrorCode returns the code of the first Error in the chain, "internal" for any other
// error, and "" for nil.
func ErrorCode(err error) string {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return "internal"
}

// IsFinal reports whether a repetition cannot help.
func IsFinal(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Final
}

// IsLater reports whether the first Error in the chain asks to come back later.
func IsLater(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Later
}

// After returns how long the first Error in the chain asks to wait; 0: it does not.
func After(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) && e.Later {
		return e.After
	}
	return 0
}
