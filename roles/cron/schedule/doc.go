// Package schedule reads schedules of cron and finds their instants, backwards as
// well as forwards, right at every change of the clock. It knows nothing of files
// or jobs. A Schedule is immutable and small.
//
// # Rules
//
//  1. A schedule names civil times (year-month-day hour:minute:second) in its zone.
//     An instant at which the clock of the zone shows such a time is an occurrence. All
//     instants are whole seconds. "@every D" names the instants whose distance from
//     1970-01-01T00:00:00Z is a whole multiple of D (whole seconds, at least 1s); no
//     rule about the clock applies to it. @reboot names no instant.
//  2. Vixie: when neither day of month nor weekday begins with *, a day matches when
//     either of them matches; else both must match. "Begins" means the first character
//     of the field, so */2 and *,5 count, and 5,* does not. Quartz: the same. Robfig: as
//     robfig/cron v3 does it: the either-rule holds when no item of the two fields is *
//     or ? without a step (a step of 1 is none). ? is the same as * everywhere.
//  3. A transition of the zone moves its offset by d. When d is 0 or more than three
//     hours in either direction (a correction of the calendar, such as a skipped day),
//     the clock decides under every rule: times in a gap do not run, times in an overlap
//     run both times. Else:
//     gap (d > 0): the civil times from the old time of the transition up to, not with,
//     the new time do not exist. When a schedule names one or more of them, it has
//     one occurrence instead, at the transition, which is one with an occurrence it has
//     there anyway. Under isc that holds for fixed schedules, under both for all, under
//     skip for none.
//     overlap (d < 0): the civil times from the new time of the transition up to, not
//     with, the old time come twice. Both are occurrences, except under isc for fixed
//     schedules and under skip for all: these have the first only. A time counts as
//     doubled only when the clock really showed it in the span before the transition.
//     Transitions are taken one by one, even when they lie close together.
//  4. A schedule is a wildcard when its second, minute or hour field begins with * or ?
//     (@hourly is 0 * * * *), or when it is @every; else it is fixed. A second field
//     that was not written does not count. H and ~ do not begin with *.
//  5. Next and Prev look 400 years ahead or back; what is not found there is never, the
//     zero time. Parse refuses schedules that never come after the present instant.
//
// # Fields
//
// Vixie reads 5 fields (minute hour day-of-month month weekday), 7 (second before,
// year behind), and, when asked to, 6 (second before). Quartz reads 6 or 7. Robfig reads
// 5, and 6 when asked to. Between fields are spaces or tabs. A field is a list of items
// with commas; no item may be empty.
//
//   - *, ?: every value. a: a value. a-b: a range. */n, a-b/n: every n-th value of it,
//     counted from its beginning. a/n is a-LAST/n, with Saturday as the last weekday.
//   - n is 1 or more and at most the highest value of the field (59, 59, 23, 31, 12, 7,
//     2199), even where it leaves one value. 0-10/20 is allowed: it is 0.
//   - A range may run backwards for hours, months and weekdays, in numbers and names:
//     22-2 is 22,23,0,1,2 and fri-mon is fri,sat,sun,mon; steps go on counting through
//     the wrap. Refused are a range that runs backwards through every value (6-5, 10-9,
//     sat-fri): nobody writes that on purpose; and any backwards range of seconds,
//     minutes, days of month and years: far more often an error than meant.
//   - Weekdays are 0-7; 0 and 7 are Sunday. At the end of a range after another day 0
//     and sun are 7 (mon-sun, 5-0); at the beginning of a backwards range 7 is 0. Quartz:
//     1-7, 1 is Sunday.
//   - Names of months and weekdays: the first three letters, or all; any case.
//   - Day of month: L is the last day; L-3 three days before it, where the month has
//     such a day; 15W the weekday (Monday to Friday) nearest to the 15th in the same
//     month, and none where the month has no 15th; LW and L-3W the same for L and L-3.
//   - Weekday: fri#2 is the second Friday; 5L and friL the last Friday. Quartz: L
//     alone is Saturday.
//   - ~, a~b: one value, drawn from the seed, stable. Without a or b it is the
//     whole field; days of month then end at 28. a~b/n draws the first value from the
//     first n, then goes on by n up to b. H, H(a-b), H/n, H(a-b)/n: the same in the
//     way Jenkins writes it. A year is never drawn.
//   - Year: 1970-2199.
//   - @yearly @annually @monthly @weekly @daily @midnight @hourly @every D @reboot.
//   - CRON_TZ=NAME or TZ=NAME before it all sets the zone.
//
// The robfig dialect is read by the library robfig/cron itself, and its sets are
// taken over; so ranges do not wrap around, 7 is no weekday, and there is no @reboot. Refused
// are only empty list items and steps greater than the number of values. What it does at
// changes of the clock is known to be wrong; rule 3 holds here, too.
package schedule
