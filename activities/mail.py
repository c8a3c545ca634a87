"""Sending mail."""

from temporalio import activity

from activities.heartbeat import heartbeats
from domain import messages as m
from domain.ports import Mailer
from domain.steps import ActivityName


class MailActivities:
    """Writes and sends mail; who gets it and what it says is read from the database."""

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer

    @activity.defn(name=ActivityName.SEND_MAIL)
    async def send_mail(self, order: m.SendMail) -> m.MailSent:
        async with heartbeats():
            return await self._mailer.send(order)
