-- Who has had a user in hand besides the user: a JSON list of the names of those who set the present password or changed the
-- role since, and of who had them in hand at that time. Of what was done before, the audit tells.
ALTER TABLE user ADD COLUMN hands TEXT NOT NULL DEFAULT '[]';
UPDATE user SET hands = (
    SELECT json_group_array(DISTINCT actor) FROM audit
    WHERE act IN ('user_add', 'user_password', 'user_role') AND subject = user.name AND actor <> user.name
        AND number >= (SELECT coalesce(max(number), 0) FROM audit
            WHERE act IN ('user_add', 'user_password') AND subject = user.name AND actor <> user.name)
);
