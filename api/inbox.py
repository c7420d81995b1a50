"""The caller's inbox."""

from aiohttp import web

from api.context import json_response, principal, services
from api.parsing import load_json, load_query
from api.routes import ID, Handler, Route
from core.domain.inbox import Receipt
from core.schemas.inbox import (
    CountsSchema,
    InboxQuery,
    InboxSchema,
    ItemSchema,
    MarkBody,
    MarkedSchema,
    ReceiptsBody,
    SummarySchema,
    item_body,
    marked_body,
    page_body,
    summary_body,
)


async def page(request: web.Request) -> web.Response:
    query = load_query(request, InboxQuery(roles=services(request).roles))
    found = await services(request).inbox.page(principal(request), **query)
    return json_response(page_body(*found))


async def counts(request: web.Request) -> web.Response:
    found = await services(request).inbox.counts(principal(request))
    return json_response(CountsSchema().dump(found))


async def mark_item(request: web.Request) -> web.Response:
    receipts = await load_json(request, ReceiptsBody())
    item = await services(request).inbox.mark_item(principal(request), request.match_info["id"], receipts)
    return json_response(item_body(item))


def _mark_many(receipt: Receipt, name: str) -> Handler:
    async def mark_many(request: web.Request) -> web.Response:
        target = await load_json(request, MarkBody())
        state = await services(request).inbox.mark(principal(request).person, target, receipt, given=True)
        return json_response(marked_body(state))

    mark_many.__name__ = name
    return mark_many


async def summary(request: web.Request) -> web.Response:
    found = await services(request).summary.summary(principal(request).person)
    return json_response(summary_body(found))


ROUTES = (
    Route(
        method="GET",
        path="/inbox",
        handler=page,
        summary="What is due to the caller, newest first.",
        query=InboxQuery,
        responses={200: InboxSchema},
    ),
    Route(
        method="GET",
        path="/inbox/counts",
        handler=counts,
        summary="The numbers beside the tabs, each capped at 100.",
        responses={200: CountsSchema},
    ),
    Route(
        method="PATCH",
        path=f"/inbox/{ID}",
        handler=mark_item,
        summary="Mark one item seen, read or archived, or take that back.",
        body=ReceiptsBody,
        responses={200: ItemSchema},
        refusals=(404,),
    ),
    *(
        Route(
            method="POST",
            path=f"/inbox/{name}",
            handler=_mark_many(receipt, name),
            summary=f"Mark some items, everything, or everything through a position as {receipt.value}.",
            body=MarkBody,
            responses={200: MarkedSchema},
        )
        for name, receipt in (("seen", Receipt.SEEN), ("read", Receipt.READ), ("archive", Receipt.ARCHIVED))
    ),
    Route(
        method="GET",
        path="/summary",
        handler=summary,
        summary="What the caller missed, and what waits for them.",
        responses={200: SummarySchema},
    ),
)
