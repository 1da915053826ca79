-- Rows of an old database, the odd ones among them. The tables are those of schema.sql.
INSERT INTO messages (id, channel_id, message_ts, thread_ts, user_id, text, created_at, status) VALUES
    (1, 'C1', '1767600001.000100', NULL, 'U1', 'done: <https://example.org/done|a page>', '2026-01-05 08:00:01', 'received'),
    (2, 'C1', '1767600002.000100', NULL, 'U1', 'no link at all', '2026-01-05 08:00:02', 'received'),
    (3, 'C1', '1767600003.000100', '1767600001.000100', 'U2', 'failed (see www.example.org/failed).', '2026-01-05 08:00:03', 'received'),
    (4, 'C1', '1767600004.000100', NULL, 'U1', 'waits: https://example.org/waits?a=1&amp;b=2; and https://example.org/second', '2026-01-05 08:00:04', 'received'),
    (5, 'C1', '1767600005.000100', NULL, NULL, 'was being processed: <https://example.org/processing>', '2026-01-05 08:00:05', 'received'),
    (6, 'C2', '1767600006.000100', NULL, 'U3', 'a status that nobody knows https://example.org/status', '2026-01-05 08:00:06', 'received'),
    (7, 'C2', '1767600007.000100', NULL, 'U3', 'broken times https://example.org/times', 'yesterday', 'received'),
    (8, 'C2', 'no time', NULL, 'U3', 'no time at all https://example.org/notime', NULL, 'received'),
    (9, 'C2', '1767600009.000100', NULL, 'U3', 'NUL' || char(0) || 'inside https://example.org/nul', '2026-01-05 08:00:09', 'received'),
    (10, 'C2', '1767600010.000100', NULL, 'U3', CAST(x'4e6f205554462d383a20ff2068747470733a2f2f6578616d706c652e6f72672f75746638' AS TEXT), '2026-01-05T08:00:10.250000+01:00', 'received'),
    (11, 'C2', '1767600011.000100', NULL, 'U3', 'two open jobs https://example.org/two', '2026-01-05 08:00:11', 'received'),
    (12, 'C2', '1767600012.000100', NULL, 'U3', 'its job was never made https://example.org/never', '2026-01-05 08:00:12', 'queued'),
    (-5, 'C2', '1767600013.000100', NULL, 'U3', 'an id that no database gives', '2026-01-05 08:00:13', 'received');
INSERT INTO jobs (id, channel_id, message_ts, status, attempts, last_error, created_at, updated_at) VALUES
    (1, 'C1', '1767600001.000100', 'done', 1, NULL, '2026-01-05 08:00:01', '2026-01-05 08:00:31'),
    (2, 'C1', '1767600002.000100', 'done', 1, NULL, '2026-01-05 08:00:02', '2026-01-05 08:00:07'),
    (3, 'C1', '1767600003.000100', 'failed', 3, 'HTTPError: 404', '2026-01-05 08:00:03', '2026-01-05 08:05:00'),
    (4, 'C1', '1767600004.000100', 'pending', 2, 'Timeout', '2026-01-05 08:00:04', '2026-01-05 08:03:00'),
    (5, 'C1', '1767600005.000100', 'processing', 1, NULL, '2026-01-05 08:00:05', '2026-01-05 08:00:09'),
    (6, 'C2', '1767600006.000100', 'paused', 0, NULL, '2026-01-05 08:00:06', '2026-01-05 08:00:06'),
    (7, 'C2', '1767600007.000100', 'done', 1, NULL, 'yesterday', 'today'),
    (8, 'C2', 'no time', 'pending', 'many', NULL, NULL, NULL),
    (9, 'C2', '1767600009.000100', 'failed', 5, 'NUL' || char(0), '2026-01-05 08:00:09', '2026-01-05 08:00:10'),
    (10, 'C2', '1767600010.000100', 'done', 1, NULL, '2026-01-05 08:00:10', '2026-01-05 08:00:40'),
    (11, 'C2', '1767600011.000100', 'pending', 0, NULL, '2026-01-05 08:00:11', '2026-01-05 08:00:11'),
    (12, 'C2', '1767600011.000100', 'pending', 0, NULL, '2026-01-05 08:01:11', '2026-01-05 08:01:11'),
    (13, 'C9', '1767600099.000100', 'done', 1, NULL, '2026-01-05 08:09:00', '2026-01-05 08:09:30'),
    (14, 'C9', '1767600098.000100', 'pending', 0, NULL, '2026-01-05 08:09:01', '2026-01-05 08:09:01'),
    (15, 'C2', '1767600013.000100', 'done', 1, NULL, '2026-01-05 08:00:13', '2026-01-05 08:00:33'),
    (-1, 'C1', '1767600001.000100', NULL, NULL, NULL, '2026-01-05 08:00:14', '2026-01-05 08:00:14');
-- Jobs up to 40 were made; the last ones are gone.
UPDATE sqlite_sequence SET seq = 40 WHERE name = 'jobs';
