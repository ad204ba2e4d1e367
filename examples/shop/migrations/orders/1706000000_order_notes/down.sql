-- +++
parent: 1701000456
-- +++

BEGIN;

drop table if exists order_notes;

COMMIT;
