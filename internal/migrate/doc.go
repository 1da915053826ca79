// Package migrate brings the job database of the earlier Python deployment into ours, and
// writes ours back in its form.
//
// The old database has two tables, see schema.sql. It is read in one transaction of a
// read-only connection and never written. What becomes of its rows:
//
//	old                         here
//	messages.id, jobs.id        the same; new rows get ids above all that the old database ever gave
//	created_at, UTC seconds     received_at, created_at
//	a job's link                url: the first link of the message, as the old program cut it
//	attempts                    attempt; none of them counts as a failure
//	pending, processing         pending, and in the queue
//	done                        final: success, or no_urls when the message holds no link
//	failed, last_error          final: error, with last_error as its message
//	updated_at                  finished_at of jobs that are final
//	messages.status             nothing
//
// Jobs that were final in the old database are recorded nowhere: their detail is off and
// the outbox gets nothing of them. Rows that cannot be taken over as they are become
// remarks of the report, each with what was done instead.
package migrate
