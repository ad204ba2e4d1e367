drop index if exists users_email_lower_key;
