drop table if exists invitations;
